"""Users, and the groups of the staff, for staff."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group, Permission
from django.db import IntegrityError
from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest
from django.shortcuts import redirect
from unfold.admin import ModelAdmin
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldBooleanSwitchWidget,
)

from souk.accounts.models import User
from souk.accounts.operations import appoint_staff, end_tokens, lock_user, note_act, unlock_user
from souk.eventlog.operations import acting_staff
from souk.kit.admin import StaffForm, StaffPage, button
from souk.kit.problem import Forbidden

CHANGE = "accounts.change_user"
APPOINT = "accounts.appoint_staff"
# What the pages for staff ask for; the rest of Django's list belongs to nothing that can be seen.
PERMISSIONS = (
    "view_user",
    "change_user",
    "appoint_staff",
    "view_tag",
    "change_tag",
    "view_product",
    "change_product",
    "view_order",
    "change_order",
    "view_payment",
    "view_webhook",
    "change_webhook",
    "view_deadletter",
    "change_deadletter",
    "view_event",
)

admin.site.unregister(Group)


class AppointmentForm(StaffForm):
    """The groups that a member of the staff is in; or, said in so many words, everything."""

    groups = forms.ModelMultipleChoiceField(Group.objects.all(), required=False, widget=UnfoldAdminSelectMultipleWidget)
    everything = forms.BooleanField(
        label="May do everything, appoint others too", required=False, widget=UnfoldBooleanSwitchWidget
    )

    def values_of(self, row_id: UUID) -> dict[str, Any]:
        found = User.objects.filter(pk=row_id, is_staff=True).values_list("is_superuser", flat=True).first()
        return {"everything": found, "groups": Group.objects.filter(user=row_id)}

    def clean(self) -> dict[str, Any]:
        """Either groups or everything: nobody gets every right by forgetting to choose."""
        chosen: dict[str, Any] = super().clean()
        if bool(chosen.get("groups")) == chosen.get("everything", False):
            raise forms.ValidationError("Choose the groups, or say that they may do everything: one of the two.")
        return chosen


def known_as(text: str) -> list[UUID]:
    """The ids of the users with this name or address, whatever its case."""
    address = User.all_objects.alias(lower_email=Lower("email")).filter(lower_email=text.lower()).exclude(email="")
    # One after the other: asked in one statement, either or, the whole table is read.
    return [
        user_id for found in (User.all_objects.named(text), address) for user_id in found.values_list("pk", flat=True)
    ]


def require_right_over(*, staff: User, user: User) -> None:
    """Raises Forbidden where a member of the staff would shut out another one whom they could not dismiss."""
    if user.is_staff and user != staff and not staff.has_perm(APPOINT):
        raise Forbidden("Only who may appoint members of the staff may do this to one of them.")


@admin.register(User)
class UserPage(StaffPage):
    """Accounts: lock, unlock, end tokens, appoint."""

    list_display = ("username", "display_name", "is_active", "is_staff", "created", "deleted")
    list_filter = ()
    exact_search = {"id": UUID, "id__in": known_as}
    search_help_text = "User name, address or id"
    fields = (
        "id",
        "username",
        "display_name",
        "bio",
        "email",
        "email_verified",
        "is_active",
        "is_staff",
        "staff_groups",
        "followers_count",
        "created",
        "updated",
        "deleted",
        "last_login",
    )
    readonly_fields = fields
    actions_detail = ("lock", "unlock", "end_every_token", "appoint", "dismiss")

    @admin.display(description="Groups of the staff")
    def staff_groups(self, user: User) -> str:
        """What a member of the staff may do."""
        if user.is_superuser:
            return "may do everything"
        return ", ".join(user.groups.values_list("name", flat=True))

    @button(
        title="Lock",
        permission=CHANGE,
        explains="Ends every token and session at once. Their products are hidden and not for sale; orders stand.",
    )
    def lock(self, staff: User, form: StaffForm, user: User) -> str:
        """Keep the user out."""
        require_right_over(staff=staff, user=user)
        lock_user(username=user.username, actor=acting_staff(staff.pk))
        return f"{user.username} is locked out."

    @button(title="Unlock", permission=CHANGE, explains="They may sign in again, and what they sell is seen again.")
    def unlock(self, staff: User, form: StaffForm, user: User) -> str:
        """Let the user in again."""
        require_right_over(staff=staff, user=user)
        unlock_user(username=user.username, actor=acting_staff(staff.pk))
        return f"{user.username} may sign in again."

    @button(title="End tokens", permission=CHANGE, explains="Signs the user out everywhere. They may sign in again.")
    def end_every_token(self, staff: User, form: StaffForm, user: User) -> str:
        """Sign the user out everywhere."""
        require_right_over(staff=staff, user=user)
        end_tokens(username=user.username, actor=acting_staff(staff.pk))
        return f"Every token of {user.username} has ended."

    @button(
        title="Appoint to the staff",
        permission=APPOINT,
        explains="They may sign in here, and see the pages and the buttons that their groups allow; with everything,"
        " all of them. In the API members of the staff manage tags. It replaces what they were allowed before.",
        form=AppointmentForm,
    )
    def appoint(self, staff: User, form: AppointmentForm, user: User) -> str:
        """Make the user a member of the staff, with what the groups allow."""
        groups = [group.name for group in form.cleaned_data["groups"]]
        appoint_staff(username=user.username, groups=groups, actor=acting_staff(staff.pk))
        return f"{user.username} belongs to the staff."

    @button(
        title="Dismiss from the staff",
        permission=APPOINT,
        explains="Takes every right here and in the API that is the staff's alone. Their account stays.",
    )
    def dismiss(self, staff: User, form: StaffForm, user: User) -> str:
        """Make the user a user like any other."""
        appoint_staff(username=user.username, is_staff=False, actor=acting_staff(staff.pk))
        return f"{user.username} no longer belongs to the staff."


@admin.register(Group)
class GroupPage(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """What members of the staff may do, by groups. For those who may appoint them."""

    list_display = ("name",)
    search_fields = ("name",)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "permissions":
            kwargs |= {"queryset": offered_permissions(), "widget": UnfoldAdminCheckboxSelectMultipleWidget()}
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        field.label_from_instance = lambda permission: permission.name
        field.help_text = ""
        return field

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(APPOINT))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(APPOINT))

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except IntegrityError:  # somebody else was between the form's look and its saving
            messages.error(request, "Somebody else changed the groups meanwhile. Look again.")
            return redirect("admin:auth_group_changelist")

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        self.delete_queryset(request, Group.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        # Locked first: whoever is appointed meanwhile is in it by now and leaves it, or is told that it is gone.
        groups = list(queryset.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
        super().delete_queryset(request, Group.objects.filter(pk__in=groups))

    def log_addition(self, request: HttpRequest, obj: Group, message: Any) -> Any:
        self._note(request.user, obj, "group.create")
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Group, message: Any) -> Any:
        self._note(request.user, obj, "group.change")
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Group]) -> Any:
        for group in queryset:
            self._note(request.user, group, "group.delete")
        return super().log_deletions(request, queryset)

    def _note(self, staff: Any, group: Group, act: str) -> None:
        allowed = sorted(group.permissions.values_list("codename", flat=True))
        note_act(staff=staff, act=act, target_type="group", target_id=group.pk, name=group.name, allowed=allowed)

    has_add_permission = has_module_permission
    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission


def offered_permissions() -> QuerySet[Permission]:
    """The permissions that mean something in the pages for staff."""
    return Permission.objects.filter(codename__in=PERMISSIONS).select_related("content_type")
