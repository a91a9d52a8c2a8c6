"""The page that shows an AsyncAPI document."""
