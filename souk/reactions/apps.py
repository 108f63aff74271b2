from django.apps import AppConfig


class ReactionsConfig(AppConfig):
    name = "souk.reactions"
