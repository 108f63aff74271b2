"""Pages and the addresses of those who run Souk: health and metrics. No rules."""
