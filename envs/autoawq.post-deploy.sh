# Made by make lock from requirements/autoawq.nodeps.txt.
python -m pip install --no-deps autoawq==0.2.9
