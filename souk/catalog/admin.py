"""Tags and products, for staff."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from souk.accounts.models import User
from souk.catalog.models import Product, Tag
from souk.catalog.operations.selling import archive_for_market
from souk.catalog.operations.tagging import change_tag, create_tag, delete_tag, lock_tag
from souk.catalog.serializers import NewTag
from souk.kit.admin import StaffForm, StaffPage, button
from souk.kit.money import written
from souk.kit.parsing import shaped

CHANGE_TAG = "catalog.change_tag"


class TagForm(StaffForm):
    """A tag's name and description, held to the shape that the API holds them to."""

    name = forms.CharField(
        max_length=50, help_text="Letters a to z, digits, single hyphens inside.", widget=UnfoldAdminTextInputWidget
    )
    description = forms.CharField(max_length=1000, required=False, widget=UnfoldAdminTextareaWidget({"rows": 2}))

    def values_of(self, row_id: UUID) -> dict[str, Any]:
        return Tag.objects.filter(pk=row_id).values("name", "description").first() or {}

    def asked(self) -> dict[str, str]:
        """What was filled in. Raises ValidationFailed."""
        shape = shaped(NewTag, {name: self.cleaned_data[name] for name in ("name", "description")})
        return dict(msgspec.structs.asdict(shape))


@admin.register(Tag)
class TagPage(StaffPage):
    """Tags: make, rename, describe, delete."""

    list_display = ("name", "description", "products_count", "created")
    ordering = ("name",)
    exact_search = {"name": str}
    search_help_text = "The whole name"
    fields = ("id", "name", "description", "products_count", "created", "updated")
    readonly_fields = fields
    actions_list = ("new_tag",)
    # Not `change` and `delete`: their addresses are those of Django's own pages.
    actions_detail = ("edit", "remove")

    def get_queryset(self, request: HttpRequest) -> Any:
        return Tag.objects.order_by("name")

    @button(title="New tag", permission=CHANGE_TAG, form=TagForm)
    def new_tag(self, staff: User, form: TagForm) -> str:
        """Make a tag."""
        tag = create_tag(staff=staff, **form.asked())
        return f"The tag {tag.name} is made."

    @button(title="Change", permission=CHANGE_TAG, explains="Products keep the tag, under its new name.", form=TagForm)
    def edit(self, staff: User, form: TagForm, tag: Tag) -> str:
        """Rename or describe a tag."""
        changed = change_tag(tag=lock_tag(tag_id=tag.pk), staff=staff, **form.asked())
        return f"The tag is {changed.name} now."

    @button(title="Delete", permission=CHANGE_TAG, explains="Takes the tag from every product.")
    def remove(self, staff: User, form: StaffForm, tag: Tag) -> str:
        """Delete a tag."""
        delete_tag(tag=lock_tag(tag_id=tag.pk), staff=staff)
        return f"The tag {tag.name} is deleted."


@admin.register(Product)
class ProductPage(StaffPage):
    """Products: read, archive."""

    list_display = ("title", "seller", "price", "state", "created", "deleted")
    list_select_related = ("seller",)
    exact_search = {"id": UUID, "seller__in": User.all_objects.named}
    search_help_text = "Id, or the seller's user name"
    fields = (
        "id",
        "seller",
        "title",
        "description",
        "price",
        "state",
        "images",
        "published_id",
        "created",
        "updated",
        "deleted",
    )
    readonly_fields = fields
    actions_detail = ("archive",)

    @admin.display(description="Price")
    def price(self, product: Product) -> str:
        """What it costs."""
        return written(product.price_amount, product.price_currency)

    @button(
        title="Archive",
        permission="catalog.change_product",
        explains="Takes the product out of sight and sale; holds that exist stand. Its seller may show it again.",
    )
    def archive(self, staff: User, form: StaffForm, product: Product) -> str:
        """Take the product out of sight and sale."""
        archive_for_market(product_id=product.pk, staff=staff)
        return f"{product.title} is archived."
