"""The shop's tasks, in the words of Django's own Tasks, which it has from 6.0 on."""

from django.core.mail import mail_admins
from django.tasks import task


@task
def report(subject, text):
    """Write to those who run the shop."""
    mail_admins(subject, text)
