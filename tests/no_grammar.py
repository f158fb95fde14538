"""For `pytest -p`: jsonschema's check of web addresses, which nobody asks for, is left out.

It compiles a grammar at import, for more than two seconds in each process that reads notebooks.
"""

import sys

sys.modules["rfc3987_syntax"] = None
