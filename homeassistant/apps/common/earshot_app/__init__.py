"""What both apps share: the Supervisor's answers, the ingress page, running a program. Copied into each by `build`."""
