"""Running an untrusted program without network or files, under hard resource limits."""
