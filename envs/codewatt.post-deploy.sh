# Made by make lock from requirements/nodeps.txt.
python -m pip install --no-deps evalplus==0.3.1
python -m pip install --no-deps gptqmodel==7.6.0
