"""Parts of the boundary of pycurl: a handle's options as a request, and what a handle tells of its last transfer."""
