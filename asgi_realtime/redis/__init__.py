"""Redis, as the broker and presence use it: one ordered connection that is replaced when it is lost."""
