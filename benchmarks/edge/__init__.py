"""The edge under load: 70 % reads and 30 % orders through nginx, three gateways and two workers."""
