"""``python -m fastlogloss``: see `fastlogloss.cli`."""

from fastlogloss.cli import main

if __name__ == "__main__":
    main()
