"""From world directions to pixels and back: what cameras see and what canvases show."""
