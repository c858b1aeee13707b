"""`python -m tests.contract.parity`: how much of the catalogue is asked at all three doors, room by room."""

from __future__ import annotations

from tests.contract.parity.test_parity import CASES, ELSEWHERE, OPERATIONS


def main() -> None:
    met = {(case.name, case.code) for case in CASES}
    declared = {(operation.name, kind.code) for operation in OPERATIONS for kind in operation.errors}
    rooms = list(dict.fromkeys(operation.room for operation in OPERATIONS))
    print(
        f"{'room':10} {'operations':>10} {'good here':>10} {'errors':>7} {'met here':>9} {'elsewhere':>10} {'cases':>6}"
    )
    total = [0] * 6
    for room in rooms:
        names = {operation.name for operation in OPERATIONS if operation.room == room}
        errors = {pair for pair in declared if pair[0] in names}
        row = [
            len(names),
            len([name for name in names if (name, "") in met and name not in ELSEWHERE]),
            len(errors),
            len(errors & met),
            len(errors - met),
            len([case for case in CASES if case.name in names]),
        ]
        total = [before + now for before, now in zip(total, row, strict=True)]
        print(f"{room:10} {row[0]:10} {row[1]:10} {row[2]:7} {row[3]:9} {row[4]:10} {row[5]:6}")
    print(f"{'all':10} {total[0]:10} {total[1]:10} {total[2]:7} {total[3]:9} {total[4]:10} {total[5]:6}")


main()
