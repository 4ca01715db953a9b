"""Looks at the names in a parsed template before it is expanded: functions and variables that nothing defines.

``check_names`` refuses them with the line, as Go's parser does. ``check_fields`` refuses fields that the data does not
have. ``included_names`` tells which templates a text includes.
"""

from collections.abc import Collection, Iterator, Sequence

from nissa.rules.template_syntax import Branch, Command, CommandPipe, Include, Node, Path, TemplateFault


def check_names(nodes: Sequence[Node], functions: Collection[str], variables: Collection[str] = ()) -> None:
    """functions, variables: names that are known, without ``$``. Raises: TemplateFault."""
    known = {"", *variables}
    for node in nodes:
        if isinstance(node, CommandPipe):
            _check_pipeline(node, functions, known, node.line)
        elif isinstance(node, Branch):
            inner = set(known)
            _check_pipeline(node.pipeline, functions, inner, node.pipeline.line)
            check_names(node.body, functions, inner)
            check_names(node.otherwise, functions, inner)
        elif isinstance(node, Include) and node.pipeline is not None:
            _check_pipeline(node.pipeline, functions, known, node.line)


def _check_pipeline(pipeline: CommandPipe, functions: Collection[str], known: set[str], line: int) -> None:
    for command in pipeline.commands:
        _check_command(command, functions, known, line)
    known.update(name[1:] for name in pipeline.declares)


def _check_command(command: Command, functions: Collection[str], known: set[str], line: int) -> None:
    if command.function and command.function not in functions:
        raise TemplateFault(f"template: function {command.function[:80]!r} not defined", line)
    for operand in command.arguments:
        if not isinstance(operand, Path):
            continue
        if isinstance(operand.root, CommandPipe):
            _check_pipeline(operand.root, functions, known, line)
        elif operand.root.startswith("$") and operand.root[1:] not in known:
            raise TemplateFault(f"template: undefined variable {operand.root[:80]!r}", line)


def check_fields(nodes: Sequence[Node], fields: Collection[str], *, has_dot: bool = True) -> None:
    """Look at fields of the data: ``$.Name``, and ``.Name`` where the dot is the data. Raises: TemplateFault.

    fields: names that the data has. has_dot: the dot is the data, as outside of ``range`` and ``with``.
    """
    for node in nodes:
        if isinstance(node, CommandPipe):
            _check_paths(node, fields, has_dot, node.line)
        elif isinstance(node, Branch):
            _check_paths(node.pipeline, fields, has_dot, node.pipeline.line)
            check_fields(node.body, fields, has_dot=has_dot and node.kind == "if")
            check_fields(node.otherwise, fields, has_dot=has_dot)
        elif isinstance(node, Include) and node.pipeline is not None:
            _check_paths(node.pipeline, fields, has_dot, node.line)


def _check_paths(pipeline: CommandPipe, fields: Collection[str], has_dot: bool, line: int) -> None:
    for command in pipeline.commands:
        for operand in command.arguments:
            if not isinstance(operand, Path):
                continue
            if isinstance(operand.root, CommandPipe):
                _check_paths(operand.root, fields, has_dot, line)
                continue
            is_data = operand.root == "$" or (has_dot and operand.root == ".")
            if is_data and operand.fields and operand.fields[0] not in fields:
                raise TemplateFault(f"template: can't evaluate field {operand.fields[0][:80]}", line)


def included_names(nodes: Sequence[Node]) -> Iterator[Include]:
    """Every ``template`` and ``block`` in nodes, at any depth."""
    for node in nodes:
        if isinstance(node, Include):
            yield node
        elif isinstance(node, Branch):
            yield from included_names(node.body)
            yield from included_names(node.otherwise)
