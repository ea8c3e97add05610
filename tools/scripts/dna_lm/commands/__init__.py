"""Commands: the options of each tool, and the call that they lead to. Each module has `main(argv)`."""
