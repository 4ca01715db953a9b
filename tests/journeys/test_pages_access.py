"""Pages with access control on: login, roles, users and tokens, the audit log, the end of a session."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from journeys.rig import Daemon, running

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = [pytest.mark.needs_debian("chromium"), pytest.mark.long]
PASSWORD = "a long enough password"
ROLES = {"ann": "admin", "otto": "operator", "vera": "viewer", "pia": "viewer"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a user of each role."""
    directory = tmp_path_factory.mktemp("access")
    (directory / "password").write_text(PASSWORD)
    (directory / "data").mkdir()
    command = [sys.executable, "-m", "nissa.cli.main", "users", "add"]
    for name, role in ROLES.items():
        options = [
            "--role",
            role,
            "--data-dir",
            str(directory / "data"),
            "--password-file",
            str(directory / "password"),
        ]
        subprocess.run([*command, name, *options], check=True)
    (directory / "alertmanager.yaml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    environment = {
        "NISSA_API__ACCESS__ENABLED": "true",
        "NISSA_API__ACCESS__LOGIN_FAILURES_PER_MINUTE_MAX": "100",
        "NISSA_API__RATE_LIMITS__ADMIN__CONTROL_PER_MINUTE": "0",
        "NISSA_ALERTING__CONFIG_FILE": f"{directory}/alertmanager.yaml",
    }
    with running(directory / "data", environment=environment) as started:
        yield started


def log_in(page: Any, user: str, password: str = PASSWORD) -> None:
    """Fill in the login that stands before the page."""
    page.get_by_label("User").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_one_logs_in_and_what_one_changes_is_logged(page) -> None:
    """A wrong password is refused; a pin that was made is shown, and the audit log says who made it."""
    page.goto("/storage")
    log_in(page, "ann", "not the password")
    page.get_by_role("alert").wait_for()
    log_in(page, "ann")
    page.get_by_role("button", name="New pin").click()
    page.get_by_label("Name").fill("the outage")
    page.get_by_role("button", name="Keep").click()
    page.get_by_role("cell", name="the outage").wait_for()

    page.goto("/settings?tab=audit")
    entry = page.get_by_role("listitem").filter(has_text="pin.add")
    entry.get_by_text("the outage").first.wait_for()
    page.get_by_label("changes of").select_option("session")
    page.get_by_role("listitem").filter(has_text="session.login").first.wait_for()
    expect(entry).to_have_count(0)
    page.get_by_label("User, such as").fill("nobody-of-that-name")
    page.get_by_text("No entry fits.").wait_for()
    assert "user=nobody-of-that-name" in page.url


def test_the_end_of_a_session_leads_back(page) -> None:
    """The login stands in front of the page; after it the same address is shown again."""
    page.goto("/events?text=lost&level=error")
    log_in(page, "vera")
    page.get_by_role("heading", level=1, name="Events").wait_for()
    page.get_by_role("button", name="Follow").click()
    page.get_by_role("button", name="Following").wait_for()
    page.context.clear_cookies()
    log_in(page, "vera")
    page.get_by_role("button", name="Following").wait_for()
    assert "text=lost" in page.url
    assert page.get_by_label("Search names").input_value() == "lost"


def test_one_changes_ones_own_password(page) -> None:
    """The current one is needed, and the new one twice; what is wrong is said in the dialog."""
    page.goto("/settings?tab=access")
    log_in(page, "pia")
    page.get_by_role("button", name="Change password").click()
    dialog = page.get_by_role("dialog")
    for current, again, refusal in (
        (PASSWORD, "a different password", "The new passwords differ."),
        ("not the password", "another long password", "the current password is another one"),
        (PASSWORD, "another long password", ""),
    ):
        dialog.get_by_label("Current password").fill(current)
        dialog.get_by_label("New password, 10 characters or more").fill("another long password")
        dialog.get_by_label("New password, again").fill(again)
        dialog.get_by_role("button", name="Change").click()
        if refusal:
            dialog.get_by_role("alert").filter(has_text=refusal).wait_for()
    page.get_by_text("The password is changed.").wait_for()
    page.get_by_role("button", name="Log out").click()
    log_in(page, "pia", "another long password")
    page.get_by_role("heading", level=1).wait_for()


def test_a_viewer_is_told_what_the_role_may_not_do(page) -> None:
    """Buttons of changes stay in the order of focus, say why they do nothing, and do nothing."""
    page.goto("/storage")
    log_in(page, "vera")
    button = page.get_by_role("button", name="New pin")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_have_attribute("title", "Not allowed for vera: the role viewer may not do this.")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.goto("/sla")
    expect(page.get_by_role("button", name="New agreement")).to_have_attribute("aria-disabled", "true")
    for tab in ("access", "audit"):
        page.goto(f"/settings?tab={tab}")
        page.get_by_text("You are vera, viewer.").wait_for()


def test_a_role_that_changes_is_noticed(new_context) -> None:
    """After a change that the daemon refuses, the pages know the role that one has now."""
    page = new_context().new_page()
    page.goto("/settings")
    log_in(page, "otto")
    button = page.get_by_role("button", name="emergency")
    button.wait_for()
    page.route(
        "**/api/v1/mode", lambda route: route.fulfill(status=403, json={"status": "error", "error": "needs admin"})
    )
    page.route("**/api/v1/session", fulfil_as_viewer)
    button.click()
    page.get_by_role("button", name="Change the mode").click()
    expect(button).to_have_attribute("aria-disabled", "true")


def fulfil_as_viewer(route: Any) -> None:
    """The session as it is once the user has become a viewer."""
    answer = route.fetch()
    body = answer.json()
    body["data"] |= {"role": "viewer", "actions": []}
    route.fulfill(response=answer, json=body)


def test_users_are_added_changed_and_removed(page) -> None:
    """By an admin; a password that is too short stays in the dialog, and the last admin stays."""
    page.goto("/settings?tab=access")
    log_in(page, "ann")
    page.get_by_role("button", name="New user").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("paul")
    dialog.get_by_label("Password").fill("another long password")
    dialog.get_by_label("operator").check()
    dialog.get_by_role("button", name="Add").click()
    row = page.get_by_role("row").filter(has_text="paul")
    row.get_by_text("operator").wait_for()
    row.get_by_role("button", name="Change").click()
    dialog.get_by_label("viewer").check()
    dialog.get_by_role("button", name="Change").click()
    row.get_by_text("viewer").wait_for()
    row.get_by_role("button", name="Remove").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)

    page.get_by_role("row").filter(has_text="ann").get_by_role("button", name="Remove").click()
    dialog.get_by_role("button", name="Remove").click()
    dialog.get_by_role("alert").wait_for()


def test_the_secret_of_a_token_is_shown_once(page, new_context) -> None:
    """It works as long as the token is there."""
    page.goto("/settings?tab=access")
    log_in(page, "ann")
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("scripts")
    dialog.get_by_role("button", name="Add").click()
    secret = page.locator(".secret code").inner_text()
    headers = {"Authorization": f"Bearer {secret}"}
    with_token = new_context(extra_http_headers=headers)
    assert with_token.request.get("/api/v1/query?query=1").status == 200
    page.get_by_role("button", name="Hide").click()
    page.locator(".secret").wait_for(state="detached")
    assert secret not in page.content()
    row = page.get_by_role("row").filter(has_text="scripts")
    row.get_by_role("button", name="Remove").click()
    dialog.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
