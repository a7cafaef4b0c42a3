"""Log loss inside other libraries, which are imported by those who use them."""
