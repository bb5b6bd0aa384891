"""Generated protobuf stubs (scripts/proto.sh); only files named wire.py import them."""
