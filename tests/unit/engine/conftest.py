"""Its place makes the module beside it (`one_entry`) importable from the tests here."""
