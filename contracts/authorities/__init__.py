"""The built-in contract `authorities`: certificate authorities of the alliance and what they issue."""
