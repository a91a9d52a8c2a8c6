"""The event loop's tools: tasks, timers, threads of the host, calls from threads, budgets and turns."""
