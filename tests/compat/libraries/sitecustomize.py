"""The one line that moves an application over, before anything of it is imported."""

import scallion.compat.litellm

scallion.compat.litellm.install()
