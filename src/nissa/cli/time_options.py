"""Options for a time range, the same in every command that has one.

--start 2024-11-21T11:00:00Z --end now-5m        between two times
--since 1h30m                                    the last hour and a half
"""

from typing import Annotated

import typer

TIME_FORMS = "RFC 3339, a date, Unix seconds, or relative to now (now-1h)"

Start = Annotated[str, typer.Option(help=f"Start of the range, included: {TIME_FORMS}.", metavar="TIME")]
End = Annotated[str, typer.Option(help="End of the range, included, in the same forms.", metavar="TIME")]
Since = Annotated[str, typer.Option(help="Instead of --start: this long before now.", metavar="DURATION")]
