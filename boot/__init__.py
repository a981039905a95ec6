"""ONE RUN OF A RUNTIME. From `start` to `stop`: what is made for it, and how the faces reach it."""
