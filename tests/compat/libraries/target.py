"""What every program imports first: litellm's stand-in, and where the test's server is."""

from __future__ import annotations

import os

SERVER = {"api_base": os.environ["SCALLION_TEST_SERVER"], "api_key": "sk-test"}
