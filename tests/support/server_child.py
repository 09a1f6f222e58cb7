"""Run in a process of its own by `server_process`: becomes one of the servers that tests talk to.

Says its port on the pipe whose number it is given, and ends when its stdin does: when the tests
close it, or when they are gone.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path


def llama_server(model: str, name: str, key: str, template: str) -> int:
    """llama.cpp's HTTP server, with a few short slots and all that it tells about them."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {name}
    params.chat_template = Path(template).read_text()
    params.api_keys = [key]
    params.port = 0
    params.n_parallel = 4
    params.n_ctx = 4 * 2048
    params.cpuparams.n_threads = 1
    params.cpuparams.poll = 0
    params.cache_ram_mib = 0
    params.endpoint_slots = True
    params.endpoint_metrics = True
    params.warmup = False
    params.offline = True
    params.ui = False
    server = xllamacpp.Server(params)
    _kept.append(server)
    return int(server.listening_address.rpartition(":")[2])


def llmock() -> int:
    """The provider mock that can be told to fail."""
    import uvicorn
    from llmock.main import create_app

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(), lifespan="off"))
    threading.Thread(target=server.run, args=([listening],), daemon=True).start()
    return int(listening.getsockname()[1])


_kept: list[object] = []

if __name__ == "__main__":
    pipe, chosen, *arguments = sys.argv[1:]
    port = {"llama_server": llama_server, "llmock": llmock}[chosen](*arguments)
    os.write(int(pipe), str(port).encode())
    os.close(int(pipe))
    sys.stdin.buffer.read()
    os._exit(0)  # no farewell: threads of the server would be waited for
