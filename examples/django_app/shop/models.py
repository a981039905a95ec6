"""What the shop stores."""

from django.db import models


class Order(models.Model):
    """What somebody has ordered, and the job that makes its receipt."""

    item = models.CharField(max_length=100)
    receipt_job = models.CharField(max_length=100, default="")
    receipt = models.TextField(default="")


class Count(models.Model):
    """How many orders there were at a time."""

    slot = models.DateTimeField()
    orders = models.IntegerField()
