"""Where the shop's pages are."""

from django.urls import path
from shop import views

urlpatterns = [
    path("", views.home, name="home"),
    path("orders", views.order, name="order"),
    path("orders/<int:pk>", views.show, name="show"),
    path("orders/<int:pk>/cancel", views.cancel, name="cancel"),
]
