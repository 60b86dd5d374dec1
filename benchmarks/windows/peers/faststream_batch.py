"""FastStream on aiokafka, a call a batch of up to 3,000 messages."""

import uvloop

from benchmarks.windows.peers.faststream import main
from benchmarks.windows.peers.report import Task

if __name__ == "__main__":
    uvloop.run(main(Task.from_command_line(), batch=True))
