"""syncer keeps a failover server's configuration an exact copy of production's."""

from __future__ import annotations

import os

# gRPC reads this while it is imported, so it must stand before anything else of syncer: every certificate of
# ours is ECDSA, and with an RSA cipher alone no TLS 1.2 handshake succeeds. gRPC has no option for it.
os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-RSA-AES256-GCM-SHA384"

__version__ = "0.1.0"
