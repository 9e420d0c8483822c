"""`python -m omnitron` is the command line."""

from omnitron.cli.main import main

if __name__ == "__main__":
    main()
