"""What people are handed of a proof: a page that checks it in a browser."""
