"""One file per resource. A route checks, writes, commits, and only then tells the clients concerned."""
