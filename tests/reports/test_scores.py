from magicseg.reports.scores import score_table


def entry(dice, n=2):
    return {
        "dice": {"mean": dice, "n": n},
        "iou": {"mean": dice and dice / 2, "n": n},
        "hd95": {"mean": dice and 3.25, "n": n},
        "asd": {"mean": dice and 1.0, "n": n},
    }


def test_a_block_a_protocol_and_a_row_a_class():
    summary = {
        "protocol": {"name": "strict"},
        "unit": "mm",
        "classes": {"RV": entry(0.5), "Myo": entry(None, 0)},
        "mean": {"dice": 0.5, "iou": 0.25, "hd95": 3.25, "asd": 1.0},
        "counts": {"cases": 2, "absent": 2, "missed": 36, "hallucinated": 0},
    }
    lines = score_table({"strict": summary, "paper": summary}).splitlines()
    assert lines[0] == "strict protocol (strict), 2 cases"
    assert lines[1].split() == ["Dice", "%", "IoU", "%", "HD95", "mm", "ASD", "mm"]
    assert lines[2].split() == ["RV", "50.00", "25.00", "3.25", "1.00"]
    assert lines[3].split() == ["Myo", "-", "-", "-", "-"]  # never 0
    assert lines[4].split() == ["mean", "50.00", "25.00", "3.25", "1.00"]
    assert lines[5] == "  pairs of class and case: 2 absent, 36 missed"
    assert lines[7] == "paper protocol (strict), 2 cases"
