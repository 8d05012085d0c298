"""`vqv2 doctor`: what state a run folder is in, and what to do next."""

from vqv2.cli.arguments import add_command, add_run
from vqv2.run.doctor import diagnose


def add_parser(subparsers):
    """Add `doctor`."""
    parser = add_command(
        subparsers,
        "doctor",
        "say what state each stage of a run is in, what is damaged, and what to do next",
        ("vqv2 doctor runs/photos", "vqv2 doctor runs/photos --quick"),
        _doctor,
    )
    add_run(parser, "a run folder or a classifier's, in which nothing is changed")
    parser.add_argument(
        "--quick", action="store_true", help="do not compare contents with their checksums"
    )


def _doctor(arguments):
    """Print; the exit status is 1 when something is damaged."""
    found = diagnose(arguments.run_folder, arguments.quick)
    width = max(len(diagnosis.part) for diagnosis in found)
    for diagnosis in found:
        print(f"{diagnosis.part:{width}}  {diagnosis.state}")
        for sentence in diagnosis.damaged:
            print(f"{'':{width}}  DAMAGED: {sentence}")
        for sentence in diagnosis.notes:
            print(f"{'':{width}}  {sentence}")
    commands = [diagnosis.command for diagnosis in found if diagnosis.command]
    damaged = any(diagnosis.damaged for diagnosis in found)
    busy = any(diagnosis.state.startswith("being") for diagnosis in found)
    if commands:
        print("\nnext:")
    elif damaged:
        print("\nsee to what is damaged")
    else:
        print("\nwait for what is going on" if busy else "\nnothing is left to do")
    for command in commands:
        print(f"  {command}")
    return 1 if damaged else 0
