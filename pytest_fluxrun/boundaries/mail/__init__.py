"""What the libraries that send mails share: a conversation with a server, and its answers in stored form."""
