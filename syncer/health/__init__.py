"""How the node tells monitoring, load balancers and systemd how it is: HTTP, metrics, sd_notify, the watchdog."""
