"""The take-over job: a worker of the analytics ends, and the windows of its partitions come back
from the other one."""
