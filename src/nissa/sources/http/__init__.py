"""HTTP ingestion: connections, request heads and bodies, routes, answers."""
