"""What `compose.yaml` and `Dockerfile` promise, read without Docker; and the job that deploy/try-compose.sh plays."""
