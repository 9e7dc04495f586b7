"""Its place makes the modules beside it (`servers`, `faulty_store`) importable from every test."""
