"""`python -m infra.app`: the web process."""

import sys

from infra.app.web import main

if __name__ == "__main__":
    sys.exit(main())
