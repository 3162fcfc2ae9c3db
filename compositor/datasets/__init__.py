"""Photo sets: rendered with a known truth."""
