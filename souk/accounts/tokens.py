from oauth2_provider.oauth2_validators import OAuth2Validator


class SoukValidator(OAuth2Validator):
    pass
