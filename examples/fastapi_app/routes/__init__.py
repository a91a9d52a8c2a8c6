"""One file per resource. A route checks, writes, commits, and then broadcasts to the clients concerned."""
