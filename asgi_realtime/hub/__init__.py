"""The connections and rooms of this process, and the fan-out to them."""
