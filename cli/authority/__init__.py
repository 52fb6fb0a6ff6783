"""`chainnode ca`: certificate authorities of the alliance."""
