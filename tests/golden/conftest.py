"""Its place makes the modules beside it (`corpus`, `comparison`) importable from the tests here."""
